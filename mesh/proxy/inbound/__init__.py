"""The serving side: mesh peers in, the application on loopback out. Every connection is identified, every stream authorised."""

"""The calling side: the application's connections in, trunks to mesh peers out. Every peer is verified to be the service meant."""

"""The certificate authority: which names may be issued to whom (pure), and the signer. Keys never leave this room."""

"""Service and check definitions: Consul's schema in, frozen values out, every refusal naming its field.

Pure but for `folder`, which reads files. Nothing here guesses: an unknown or doubled field is an error.
"""

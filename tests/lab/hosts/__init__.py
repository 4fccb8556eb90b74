"""Networks without routes between them and booted systemd machines on them.

It must never change the network of the computer it runs on.
"""

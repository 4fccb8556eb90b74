"""The sockets of DNS: UDP and TCP towards those who ask, and the recursors behind. Everything here is bounded."""

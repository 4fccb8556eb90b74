"""What Consul's API tells of gateways at the mesh's edge: whom they lead to, and who leads to a service."""

"""What the functions do, said in terms of ports: no AWS, no HTTP, no environment."""

"""What docker-compose.yml mounts, checked as far as it can be without a container engine."""

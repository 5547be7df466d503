"""What comes with the service for those who run it."""

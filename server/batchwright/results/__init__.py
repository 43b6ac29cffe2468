"""What came back: read, joined, asked and explained."""

"""What a host keeps of a release: its files, images and secrets."""

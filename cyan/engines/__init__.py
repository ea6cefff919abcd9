"""What starts, stops and lists the containers of one color, and brings their images."""

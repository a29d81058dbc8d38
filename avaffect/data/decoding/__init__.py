"""From recordings to sound and pictures, in time, in level, in shape."""

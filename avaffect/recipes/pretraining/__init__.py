"""What the commands that train encoders and projectors share."""

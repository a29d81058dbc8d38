"""avaffect: composable commands for affect-aware audiovisual representations."""

__version__ = "0.1.0"

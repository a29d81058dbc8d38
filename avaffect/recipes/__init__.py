"""One plain typed function per subcommand; joins the layers below."""

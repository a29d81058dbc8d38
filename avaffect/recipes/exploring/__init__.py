"""What utterances are like before a training: for `explore`."""

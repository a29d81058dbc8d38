"""Synthetic talking faces from a seed, with emotional speech, for use without real recordings.

Audio: `emotion` is the prosody of emotions, `speaker` the speakers, `score` the syllables and their
times, `voice` the synthesiser, `channel` the recording; `corpus` plans and writes corpora. Video:
`expression` is the face of an emotion and of speech, `identity` the faces, `head` and `features`
draw them, `camera` renders the pictures, `clip` joins audio and video in a file.
"""

"""The workspace: a folder with a catalogue, blobs named by their hash, and whole files only."""

"""The commands in our documents, as tests read them: blocks with their marks, and the words of each command."""

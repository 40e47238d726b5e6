"""The callback: what it says, when it is sent, how it is signed, and the sender."""

"""The throwaway host: an sshd of its own on 127.0.0.1 and the demo on it."""

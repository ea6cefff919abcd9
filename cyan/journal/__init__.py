"""The journal of an application on a host, and the lock under which alone it is written."""

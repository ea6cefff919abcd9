"""The commands of `inv`: see `inv --list`. A project of your own needs these two lines as well."""

from cyan.tasks import namespace

__all__ = ["namespace"]

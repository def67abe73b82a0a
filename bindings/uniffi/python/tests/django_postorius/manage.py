#!/usr/bin/env python3
"""`manage.py migrate`, `check`, and vidcache's commands, of the site with Postorius."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lists.settings")
execute_from_command_line(sys.argv)

#!/usr/bin/env python3
"""`manage.py migrate`, `prepare`, `work`; `check` tells what is wrong with the settings."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
execute_from_command_line(sys.argv)

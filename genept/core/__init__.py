"""What every room stands on: settings, command lines, files, errors, devices and threads."""

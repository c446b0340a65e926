"""Builds ESXi boot media images with ordinary tools, byte for byte the same each time.

Nothing here is shared with the Rust program: partition tables come from sfdisk
and fdisk, FAT volumes from mkfs.fat and mtools, archives from GNU tar, busybox
and gzip, databases from sqlite3, AES-GCM from the `cryptography` package. That
is what makes the images fit to judge the program by.
"""

# The tools that make a disk of a root file system, without a loop device and without any right on the host.
FROM debian:trixie-slim

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      e2fsprogs fdisk grub-common grub-efi-amd64-bin grub-pc-bin mtools qemu-utils \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*

COPY box/disk box/grub.cfg /usr/lib/labctl/
RUN chmod 0755 /usr/lib/labctl/disk

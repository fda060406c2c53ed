"""What other systems read of a repository, all made from the same builds as its index.

REPO/repository.toml               which formats are made, and for whom (config.py)
REPO/index.html                 the page for people (page.py)
REPO/images/NAME/SERIAL/        the tar of a build in other compressions, and files about it
    rootfs.tar.xz rootfs.tar.gz rootfs.squashfs meta.tar.xz incus.tar.xz files.json
REPO/meta/1.0/                  lxc: index-system, index-user
REPO/streams/v1/                incus, lxd: index.json, images.json; signed as .sjson
REPO/systemd/                   NAME_SERIAL.tar.xz, .nspawn, SHA256SUMS, SHA256SUMS.gpg
REPO/oci/NAME/                  an OCI image layout; a tag for each build
REPO/sigstore/                  signatures of pushed images (lookaside.py)
REPO/proxmox/                   aplinfo.dat, .gz, .asc, system/
REPO/openvz/                    NAME.tar.gz, .asc, .listing
REPO/.derived.json              which of these files are ours, and who signed what

Files of the same content are hard links to one another. All that can differ from build to build
is derived from the tar, the signed manifest and the index that is about to be signed, so no two
systems can be told different things.
"""

"""local.tgz.ve and encryption.info: the encrypted state of 7.0 U2 and later.

The form is that of a real 7.0.2 state. A sealed encryption.info was never seen:
the fields of the one made here, other than `mode`, are invented.
"""

import base64
import hashlib
import struct
import uuid
from dataclasses import dataclass

from . import payload

OBFUSCATION = b"This is obfuscation, not encryption. If you want encryption, use TPM."
AAD = b"ESXConfiguration"
BLOCK = 4096
ROUNDS = 100000
STRING, BYTES = 0x0B, 0x0C


@dataclass(frozen=True)
class Key:
    """A configuration key and what encryption.info says about it."""

    key_id: bytes
    data1: bytes
    data2: bytes
    sealed: bool

    @property
    def key(self):
        if self.sealed:
            return payload.random_bytes("sealed/" + self.key_id.hex(), 32)
        return hashlib.pbkdf2_hmac("sha256", self.data1 + OBFUSCATION, self.data2, ROUNDS, 32)

    @property
    def recovery_key(self):
        """The key as sixteen groups of six digits, each 11 times a 16-bit word plus its position modulo 11.

        The groups are as in VMware's published sample; that the words are the key, high byte first, is
        this builder's choice.
        """
        words = struct.unpack(">16H", self.key)
        return "-".join(f"{11 * word + index % 11:06d}" for index, word in enumerate(words))

    def info(self):
        """The text of encryption.info."""
        if self.sealed:
            fields = {"keyId": self.key_id, "sealed": payload.random_bytes("blob/" + self.key_id.hex(), 224)}
        else:
            fields = {"keyId": self.key_id, "data1": self.data1, "data2": self.data2}
        parts = [f"{name}={base64.b64encode(value).decode()}" for name, value in fields.items()]
        data = ":".join([*(p.split("=", 1)[0] + "=" + p.split("=", 1)[1].replace("=", "%3d") for p in parts), "version=1"])
        return (
            '.encoding = "UTF-8"\nincludeKeyCache = "FALSE"\n'
            f'mode = "{"TPM" if self.sealed else "NONE"}"\nConfigEncData = "{data}"\n'
        ).encode()


def new_key(seed, sealed=False):
    return Key(*(payload.random_bytes(f"{seed}/{part}", 16) for part in ("keyId", "data1", "data2")), sealed)


def header(key, nonce):
    """The first 4096 bytes."""

    def attribute(kind, name, value):
        body = value + b"\0" if kind == STRING else struct.pack("<Q", len(value)) + value
        return struct.pack("<BBH", kind, 0, 0) + name + b"\0" + body

    attributes = (
        attribute(BYTES, b"vmware.iv", nonce)
        + attribute(STRING, b"vmware.keyInfo", str(uuid.UUID(bytes=key.key_id)).encode())
        + attribute(STRING, b"vmware.cipherName", b"AES-256-GCM")
        + attribute(BYTES, b"vmware.keyHash", hashlib.sha256(b"AES-256-GCM" + key.key).digest())
    )
    start = b"DataTransformEnvelope".ljust(504, b"\0") + struct.pack("<II", 0xE00, 2)
    return (start + attributes).ljust(BLOCK, b"\0")


# The first nonce of a host.
HOST_NONCE = b"WMV_" + bytes(8)


def seal(key, data, seed, nonce=HOST_NONCE):
    """The whole local.tgz.ve around `data`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = header(key, nonce)
    padding = -len(data) % BLOCK
    # In the real state both the padding and the unused part of the last block look random.
    last = payload.random_bytes(f"{seed}/last", BLOCK - 512)
    footer = b"DataTransformCryptoFooter".ljust(504, b"\0") + struct.pack("<II", padding, 2)
    plain = data + payload.random_bytes(f"{seed}/padding", padding) + last + footer
    sealed = AESGCM(key.key).encrypt(nonce, plain, head + AAD)
    body, tag = sealed[:-16], sealed[-16:]
    aead = b"DataTransformAeadFooter".ljust(32, b"\0") + tag.ljust(4056, b"\0") + struct.pack("<II", 16, 1)
    return head + body + aead

"""What is in an envelope, by Python's own cryptography. `local` and `info` are the bytes of
local.tgz.ve and encryption.info."""
import base64, hashlib, re, urllib.parse


def opened(local, info):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    fields = re.search('ConfigEncData = "(.*)"', info.decode()).group(1)
    fields = dict(field.split("=", 1) for field in fields.split(":"))
    data1, data2 = (base64.b64decode(urllib.parse.unquote(fields[k])) for k in ("data1", "data2"))
    phrase = b"This is obfuscation, not encryption. If you want encryption, use TPM."
    key = hashlib.pbkdf2_hmac("sha256", data1 + phrase, data2, 100000)
    iv = local[local.index(b"vmware.iv\0") + 18:][:12]
    header, body, footer = local[:4096], local[4096:-4096], local[-4096:]
    plain = AESGCM(key).decrypt(iv, body + footer[32:48], header + b"ESXConfiguration")
    return plain[:len(plain) - 4096 - int.from_bytes(plain[-8:-4], "little")]

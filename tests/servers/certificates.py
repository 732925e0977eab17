"""Certificates for the tests' servers, of an authority that nobody else knows."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificates

PASSWORD = "changeit"  # of the file for Java, which wants one


class Certificates:
    """An authority, and a certificate of its for 127.0.0.1 and no other name."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.authority = folder / "authority.pem"
        self.chain = folder / "chain.pem"
        self.key = folder / "key.pem"
        self.keystore = folder / "keystore.p12"  # chain and key as Java wants them
        authority.cert_pem.write_to_path(str(self.authority))
        self.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())
        own, *others = load_pem_x509_certificates(self.chain.read_bytes())
        key = load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        self.keystore.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"broker", key, own, others, BestAvailableEncryption(PASSWORD.encode())
            )
        )

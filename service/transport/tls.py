"""TLS of the server's own, for where no proxy terminates it."""

import logging
import ssl
from pathlib import Path

_log = logging.getLogger(__name__)


class CertificateError(Exception):
    """The certificate or its key cannot be used. The message is one line for the person who starts the server."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"TLS_CERT_FILE and TLS_KEY_FILE cannot be used ({problem}), for example"
            " TLS_CERT_FILE=/etc/ssl/fullchain.pem TLS_KEY_FILE=/etc/ssl/privkey.pem"
        )


class ReloadingContext:
    """A certificate and its key, which can be read anew while the server runs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files, which are PEM.

        Raises:
            CertificateError: one of them cannot be read, or they do not belong together.
        """
        self._certificate = certificate
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load()

    def reload(self) -> None:
        """Read both files again. New connections get the new certificate; if it is unusable, the old one stays."""
        try:
            ReloadingContext(self._certificate, self._key)  # proves them before the ones in use are touched
            self._load()
        except CertificateError as error:
            _log.error("the certificate was not reloaded: %s", error)
        else:
            _log.info("the certificate was reloaded")

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            known = isinstance(error, ssl.SSLError) or error.strerror is None
            raise CertificateError("they do not belong together" if known else str(error.strerror)) from None

"""Every way in which TLS fails, with cause and remedy. What OpenSSL says is turned into one of `KINDS`."""

from __future__ import annotations

import ssl

from dimse.errors import TlsError

_CLOCK = "check the clocks of both machines"
#: kind -> cause, remedy, permanent. "We" is this side, "the peer" the other.
KINDS: dict[str, tuple[str, str, bool]] = {
    "peer-plain": ("the peer speaks plain DICOM where TLS is wanted",
                   "turn TLS on at the peer, or correct the port; we never fall back to plain", True),
    "peer-not-tls": ("the peer speaks no TLS", "correct host and port, or turn TLS on at the peer", True),
    "closed": ("the peer closed the connection during the TLS handshake",
               "it may speak plain DICOM, or want another certificate or version; its log may say why", False),
    "slow": ("the TLS handshake did not end in time",
             "check the port (a plain DICOM service waits in silence) and the load of the peer", False),
    "old-version": ("the peer offers no TLS version that we allow (it may know TLS 1.0 or 1.1 only)",
                    "update the peer to TLS 1.2 or 1.3", True),
    "our-version-refused": ("the peer refuses our TLS versions",
                            "allow TLS 1.2 or 1.3 at the peer, or another profile here", True),
    "no-common-cipher": ("the peer shares no cipher with our TLS profile",
                         "allow ECDHE with AES-GCM at the peer, or check that its certificate fits its ciphers", True),
    "peer-unknown-authority": ("the certificate of the peer comes from an authority that we do not trust",
                               "add the certificate of that authority here, or pin the fingerprint of the peer", True),
    "peer-self-signed": ("the certificate of the peer is signed by itself and not trusted here",
                         "add it to our authorities, or pin its fingerprint", True),
    "peer-expired": ("the certificate of the peer has expired", f"renew it at the peer, or {_CLOCK}", True),
    "peer-not-yet-valid": ("the certificate of the peer is not valid yet", _CLOCK, True),
    "peer-revoked": ("the certificate of the peer was revoked", "give the peer a new certificate", True),
    "no-revocation-list": ("there is no revocation list of the authority of the peer's certificate",
                           "fetch the list of that authority and name it beside the others", True),
    "revocation-list-expired": ("the revocation list of the authority of the peer's certificate is not valid today",
                                f"fetch the current list, or {_CLOCK}", True),
    "revocation-list-bad": ("the revocation list was not signed by the authority of the peer's certificate",
                            "fetch the list anew from that authority", True),
    "peer-other-name": ("the certificate of the peer is not for the host that we called",
                        "call it by the name in its certificate, set the expected name, or pin its fingerprint", True),
    "peer-purpose": ("the certificate of the peer is not meant for this use",
                     "give the peer a certificate for TLS server or client authentication", True),
    "peer-weak": ("the key or signature of the peer's certificate is too weak",
                  "give the peer a certificate with RSA of 2048 bits or more, or an elliptic curve, and SHA-256", True),
    "peer-no-certificate": ("the peer showed no certificate", "give the peer a certificate that our authority signed", True),
    "peer-bad-certificate": ("the certificate of the peer cannot be verified", "check the certificate of the peer", True),
    "other-certificate": ("the peer shows another certificate than the pinned one",
                          "find out why it changed; if it was renewed, pin the new fingerprint", True),
    "own-unknown-authority": ("the peer does not trust the authority of our certificate",
                              "add the certificate of our authority at the peer", True),
    "own-expired": ("our certificate has expired", f"renew our certificate, or {_CLOCK}", True),
    "own-not-yet-valid": ("our certificate is not valid yet", "wait, or check the clock of this machine", True),
    "own-revoked": ("the peer says that our certificate was revoked", "get a new certificate", True),
    "own-refused": ("the peer refuses our certificate",
                    "check at the peer which certificates it takes; its log may say why", True),
    "own-missing": ("the peer wants a certificate and we have none for it", "set certificate and key here", True),
    "own-weak": ("the key or signature of our certificate is too weak",
                 "make one with RSA of 2048 bits or more, or an elliptic curve, and SHA-256", True),
    "refused": ("the peer broke off the TLS handshake",
                "its log may say why; compare TLS versions, ciphers and certificates", True),
    "damaged": ("bytes of the TLS connection were damaged", "check the network: something between changes the bytes", False),
    "failed": ("the TLS connection failed", "the log of the peer may say why", False),
}  # fmt: skip


def failure(kind: str, detail: str = "") -> TlsError:
    """The error of a kind; `detail` is added to its cause."""
    cause, remedy, permanent = KINDS[kind]
    return TlsError(kind, cause + detail, remedy, permanent=permanent)


#: Results of certificate verification (OpenSSL, X509_V_ERR_*).
_VERIFY = {
    2: "peer-unknown-authority", 3: "no-revocation-list", 8: "revocation-list-bad", 11: "revocation-list-expired",
    12: "revocation-list-expired", 9: "peer-not-yet-valid", 10: "peer-expired",
    18: "peer-self-signed", 19: "peer-unknown-authority", 20: "peer-unknown-authority", 21: "peer-unknown-authority",
    23: "peer-revoked", 26: "peer-purpose", 62: "peer-other-name", 64: "peer-other-name",
    66: "peer-weak", 67: "peer-weak", 68: "peer-weak",
}  # fmt: skip
#: Parts of OpenSSL's reason, in the order in which they are looked for. "ALERT": the peer says it.
_REASONS = (
    ("ALERT_PROTOCOL_VERSION", "our-version-refused"),
    ("ALERT_UNKNOWN_CA", "own-unknown-authority"),
    ("ALERT_CERTIFICATE_EXPIRED", "own-expired"),
    ("ALERT_CERTIFICATE_REVOKED", "own-revoked"),
    ("ALERT_CERTIFICATE_REQUIRED", "own-missing"),
    ("ALERT_NO_CERTIFICATE", "own-missing"),
    ("ALERT_BAD_CERTIFICATE", "own-refused"),
    ("ALERT_CERTIFICATE_UNKNOWN", "own-refused"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "own-refused"),
    ("ALERT_ACCESS_DENIED", "own-refused"),
    ("ALERT_INSUFFICIENT_SECURITY", "no-common-cipher"),
    ("ALERT_BAD_RECORD_MAC", "damaged"),
    ("ALERT_DECRYPT", "damaged"),
    ("ALERT", "refused"),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "peer-no-certificate"),
    ("NO_SHARED_CIPHER", "no-common-cipher"),
    ("NO_SUITABLE", "no-common-cipher"),
    ("NO_CIPHERS", "no-common-cipher"),
    ("WRONG_CIPHER", "no-common-cipher"),
    ("UNKNOWN_CIPHER", "no-common-cipher"),
    ("UNSUPPORTED_PROTOCOL", "old-version"),
    ("WRONG_SSL_VERSION", "old-version"),
    ("VERSION_TOO_LOW", "old-version"),
    ("WRONG_VERSION_NUMBER", "peer-not-tls"),
    ("HTTP", "peer-not-tls"),
    ("DH_KEY_TOO_SMALL", "peer-weak"),
    ("KEY_TOO_SMALL", "peer-weak"),
    ("MD_TOO_WEAK", "peer-weak"),
    ("CERTIFICATE_VERIFY_FAILED", "peer-bad-certificate"),
    ("EOF", "closed"),
    ("RECORD_MAC", "damaged"),
    ("DECRYPTION_FAILED", "damaged"),
    ("RECORD", "damaged"),
)


def explain_tls(error: BaseException) -> TlsError:
    """What a handshake or a read met, as a `TlsError`; one that is one already is given back."""
    if isinstance(error, TlsError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return failure(_VERIFY.get(error.verify_code, "peer-bad-certificate"), f" ({error.verify_message})")
    if isinstance(error, TimeoutError) or "handshake is taking longer" in str(error):  # the latter is asyncio's
        return failure("slow")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError | EOFError):
        return failure("closed")
    if isinstance(error, ssl.SSLError):
        reason = (getattr(error, "reason", None) or str(error)).upper().replace(" ", "_")
        kind = next((kind for part, kind in _REASONS if part in reason), "failed")
        return failure(kind, f" ({reason})")
    return failure("closed" if isinstance(error, OSError) else "failed", f" ({error})")


def is_plain(first: bytes | memoryview) -> bool:
    """Do these first bytes of a peer begin a DICOM PDU (PS3.8 section 9.3.1) and not a TLS record?"""
    return len(first) > 0 and 1 <= first[0] <= 7 and (len(first) < 2 or first[1] == 0)

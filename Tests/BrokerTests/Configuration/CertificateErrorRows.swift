extension ConfigurationErrorTests {
    /// Errors in the certificate files of a listener.
    static let tls: [Row] = [
        Row(
            secured("{ key: k.pem }"), "3:10: listen[0].tls.certificate: expected the path of a PEM file, found nothing"
        ),
        Row(
            secured("{ certificate: c.pem }"),
            "3:10: listen[0].tls.key: expected the path of a PEM file, found nothing"),
        Row(
            secured("{ certificate: [], key: k.pem }"),
            "3:25: listen[0].tls.certificate: expected a path, found a list"),
        Row(
            secured("{ certificate: c.pem, key: \"\" }"), "3:37: listen[0].tls.key: expected a path, found \"\""),
        Row(
            secured("{ certificate: c.pem, key: k.pem, client_ca: ~ }"),
            "3:55: listen[0].tls.client_ca: expected a path, found nothing"),
        Row(
            secured("{ certificate: c.pem, key: k.pem, ca: x }"),
            "3:44: listen[0].tls.ca: unknown key, expected one of certificate, key, certificates, client_ca, "
                + "client_crl, client_auth"),
        Row(
            secured("{ certificate: c.pem, key: k.pem, certificates: c.pem }"),
            "3:58: listen[0].tls.certificates: expected a list of certificates with their keys, found \"c.pem\""),
        Row(
            secured("{ certificate: c.pem, key: k.pem, certificates: [{ certificate: d.pem }] }"),
            "3:59: listen[0].tls.certificates[0].key: expected the path of a PEM file, found nothing"),
        Row(
            secured("{ certificate: c.pem, key: k.pem, certificates: [{ certificate: d, key: e, zone: x }] }"),
            "3:85: listen[0].tls.certificates[0].zone: unknown key, expected one of certificate, key"),
        Row(secured("c.pem"), "3:10: listen[0].tls: expected a mapping, found \"c.pem\""),
    ]
}

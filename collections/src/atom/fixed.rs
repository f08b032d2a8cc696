//! The atoms that are part of the module: lines of one text, sorted.

/// The fixed names, one a line: header fields of HTTP in lower case.
pub(super) const NAMES: &str = ":authority\n\
:method\n\
:path\n\
:scheme\n\
:status\n\
accept\n\
accept-ch\n\
accept-charset\n\
accept-encoding\n\
accept-language\n\
accept-patch\n\
accept-post\n\
accept-ranges\n\
access-control-allow-credentials\n\
access-control-allow-headers\n\
access-control-allow-methods\n\
access-control-allow-origin\n\
access-control-expose-headers\n\
access-control-max-age\n\
access-control-request-headers\n\
access-control-request-method\n\
age\n\
allow\n\
alt-svc\n\
alt-used\n\
apikey\n\
authentication-info\n\
authorization\n\
baggage\n\
cache-control\n\
cache-status\n\
cdn-cache-control\n\
cdn-loop\n\
cf-connecting-ip\n\
cf-ipcountry\n\
cf-ray\n\
clear-site-data\n\
connection\n\
content-digest\n\
content-disposition\n\
content-encoding\n\
content-language\n\
content-length\n\
content-location\n\
content-md5\n\
content-range\n\
content-security-policy\n\
content-security-policy-report-only\n\
content-type\n\
cookie\n\
correlation-id\n\
critical-ch\n\
cross-origin-embedder-policy\n\
cross-origin-embedder-policy-report-only\n\
cross-origin-opener-policy\n\
cross-origin-opener-policy-report-only\n\
cross-origin-resource-policy\n\
date\n\
device-memory\n\
digest\n\
dnt\n\
downlink\n\
dpop\n\
early-data\n\
ect\n\
etag\n\
expect\n\
expect-ct\n\
expires\n\
fastly-client-ip\n\
feature-policy\n\
forwarded\n\
from\n\
front-end-https\n\
grpc-accept-encoding\n\
grpc-encoding\n\
grpc-message\n\
grpc-status\n\
grpc-timeout\n\
host\n\
http2-settings\n\
idempotency-key\n\
if-match\n\
if-modified-since\n\
if-none-match\n\
if-range\n\
if-unmodified-since\n\
keep-alive\n\
last-event-id\n\
last-modified\n\
link\n\
location\n\
max-forwards\n\
memento-datetime\n\
mime-version\n\
nel\n\
observe-browsing-topics\n\
origin\n\
origin-agent-cluster\n\
origin-trial\n\
p3p\n\
permissions-policy\n\
ping-from\n\
ping-to\n\
pragma\n\
prefer\n\
preference-applied\n\
priority\n\
proxy-authenticate\n\
proxy-authentication-info\n\
proxy-authorization\n\
proxy-connection\n\
proxy-status\n\
public-key-pins\n\
range\n\
ratelimit\n\
ratelimit-limit\n\
ratelimit-policy\n\
ratelimit-remaining\n\
ratelimit-reset\n\
referer\n\
referrer-policy\n\
refresh\n\
report-to\n\
reporting-endpoints\n\
repr-digest\n\
request-id\n\
retry-after\n\
rtt\n\
save-data\n\
sec-ch-ua\n\
sec-ch-ua-arch\n\
sec-ch-ua-bitness\n\
sec-ch-ua-full-version-list\n\
sec-ch-ua-mobile\n\
sec-ch-ua-model\n\
sec-ch-ua-platform\n\
sec-ch-ua-platform-version\n\
sec-fetch-dest\n\
sec-fetch-mode\n\
sec-fetch-site\n\
sec-fetch-storage-access\n\
sec-fetch-user\n\
sec-gpc\n\
sec-purpose\n\
sec-websocket-accept\n\
sec-websocket-extensions\n\
sec-websocket-key\n\
sec-websocket-protocol\n\
sec-websocket-version\n\
server\n\
server-timing\n\
service-worker\n\
service-worker-allowed\n\
service-worker-navigation-preload\n\
set-cookie\n\
signature\n\
signature-input\n\
sourcemap\n\
speculation-rules\n\
strict-transport-security\n\
supports-loading-mode\n\
surrogate-control\n\
surrogate-key\n\
te\n\
timing-allow-origin\n\
tk\n\
traceparent\n\
tracestate\n\
trailer\n\
transfer-encoding\n\
true-client-ip\n\
upgrade\n\
upgrade-insecure-requests\n\
user-agent\n\
vary\n\
via\n\
viewport-width\n\
want-content-digest\n\
want-repr-digest\n\
warning\n\
width\n\
www-authenticate\n\
x-amz-cf-id\n\
x-amz-cf-pop\n\
x-amz-request-id\n\
x-amzn-requestid\n\
x-amzn-trace-id\n\
x-api-key\n\
x-b3-parentspanid\n\
x-b3-sampled\n\
x-b3-spanid\n\
x-b3-traceid\n\
x-cache\n\
x-cache-hits\n\
x-client-ip\n\
x-cloud-trace-context\n\
x-content-type-options\n\
x-correlation-id\n\
x-csrf-token\n\
x-dns-prefetch-control\n\
x-download-options\n\
x-envoy-upstream-service-time\n\
x-forwarded-for\n\
x-forwarded-host\n\
x-forwarded-port\n\
x-forwarded-prefix\n\
x-forwarded-proto\n\
x-forwarded-server\n\
x-frame-options\n\
x-http-method-override\n\
x-permitted-cross-domain-policies\n\
x-powered-by\n\
x-ratelimit-limit\n\
x-ratelimit-remaining\n\
x-ratelimit-reset\n\
x-real-ip\n\
x-request-id\n\
x-request-start\n\
x-requested-with\n\
x-robots-tag\n\
x-runtime\n\
x-served-by\n\
x-timer\n\
x-ua-compatible\n\
x-vercel-id\n\
x-xss-protection\n";

pub(super) const COUNT: usize = count();

/// Where each name begins, and where the last one's line ends.
pub(super) static STARTS: [u16; COUNT + 1] = starts();

pub(super) const fn count() -> usize {
    let (bytes, mut lines, mut at) = (NAMES.as_bytes(), 0, 0);
    while at < bytes.len() {
        lines += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    lines
}

pub(super) const fn starts() -> [u16; COUNT + 1] {
    let (bytes, mut found, mut line, mut at) = (NAMES.as_bytes(), [0; COUNT + 1], 0, 0);
    while at < bytes.len() {
        at += 1;
        if bytes[at - 1] == b'\n' {
            line += 1;
            found[line] = at as u16;
        }
    }
    found
}

/// The fixed names in the order of their numbers, one a line.
#[must_use]
pub fn fixed() -> &'static str {
    NAMES
}

#[inline(never)]
pub(super) fn fixed_name(atom: u32) -> Option<&'static [u8]> {
    let (start, next) = (*STARTS.get(atom as usize)?, *STARTS.get(atom as usize + 1)?);
    NAMES.as_bytes().get(usize::from(start)..usize::from(next) - 1)
}

/// The fixed atom of a text, by halving: eight comparisons at most.
#[must_use]
pub fn find_fixed(text: &[u8]) -> Option<u32> {
    let (mut low, mut high) = (0, COUNT as u32);
    while low < high {
        let middle = (low + high) / 2;
        match fixed_name(middle)?.cmp(text) {
            core::cmp::Ordering::Less => low = middle + 1,
            core::cmp::Ordering::Equal => return Some(middle),
            core::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

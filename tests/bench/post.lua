-- wrk: posts the same report over and over; counts answers without what BENCH_EXPECT matches, a
-- CrashID where nothing is said. BENCH_CLOSES=1: a connection that httpd ends between requests is no
-- wrong answer.
local f = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = f:read("*a")
f:close()
wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. os.getenv("BENCH_BOUNDARY")

local expected = os.getenv("BENCH_EXPECT") or "^CrashID=bp%-"
local closes = os.getenv("BENCH_CLOSES") == "1"
local threads = {}
bad = 0

function setup(thread)
    table.insert(threads, thread)
end

function response(status, headers, body)
    if not body:find(expected) then
        bad = bad + 1
        if bad < 3 then
            io.stderr:write("answer ", status, ": ", body:sub(1, 200), "\n")
        end
    end
end

function done(summary, latency, requests)
    local total = 0
    for _, thread in ipairs(threads) do
        total = total + thread:get("bad")
    end
    print(string.format("BENCH %.1f %.3f %.3f %d", summary.requests / summary.duration * 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        total + summary.errors.connect + summary.errors.timeout +
        (closes and 0 or summary.errors.read)))
end

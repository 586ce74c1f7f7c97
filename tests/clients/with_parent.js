// Ends this process with the test that has started it, even when that was killed: stdin is closed then. A client
// that tries again for ever would find whatever test has its server's port next.
"use strict";
process.stdin.on("close", () => process.exit(1)).resume();
process.stdin.unref();

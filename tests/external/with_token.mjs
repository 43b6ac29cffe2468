// Loaded into npm's conformance suite, which has no option for a header: every request gets the token.
import { realpathSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

const { getGlobalDispatcher, setGlobalDispatcher } = createRequire(realpathSync(process.argv[1]))("undici");
const authorization = `Bearer ${process.env.BATCHWRIGHT_HTTP_TOKEN}`;

// `fetch` and undici's own `request` go through the one,
setGlobalDispatcher(
  getGlobalDispatcher().compose((dispatch) => (options, handler) => {
    const headers = { ...options.headers, authorization };
    return dispatch({ ...options, headers }, handler);
  }),
);

// and Node's `http.request` through the other.
const { _implicitHeader } = http.ClientRequest.prototype;
http.ClientRequest.prototype._implicitHeader = function () {
  this.setHeader("authorization", authorization);
  _implicitHeader.call(this);
};

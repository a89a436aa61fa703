// A Node.js process that does nothing, and stays.
setInterval(() => {}, 2 ** 31 - 1);

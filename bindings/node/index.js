'use strict';
// Each by its name, so that `import { Cache } from 'vidcache'` finds it.

const { Cache, Decision, moveAside, restore } = require('./lib/cache.js');
const { Database, migration } = require('./lib/database.js');
const { VidcacheError, codes } = require('./lib/errors.js');
const { version } = require('./lib/library.js');
const { verifySignature } = require('./lib/signature.js');

exports.Cache = Cache;
exports.Database = Database;
exports.Decision = Decision;
exports.VidcacheError = VidcacheError;
exports.codes = codes;
exports.migration = migration;
exports.moveAside = moveAside;
exports.restore = restore;
exports.verifySignature = verifySignature;
exports.version = version;

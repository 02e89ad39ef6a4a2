// PouchDB on LevelDB, for benchmarks/others.py.
//   node peer.js serve DIRECTORY          a server over HTTP; prints its port, ends with its input
//   node peer.js run DIRECTORY URL FILE   saves the documents of FILE (a JSON array), reads them,
//                                         pushes them to URL and pulls them back; prints seconds
"use strict";
const fs = require("fs");
const path = require("path");
const PouchDB = require("pouchdb");

async function timed(work) {
  const began = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  await work();
  const used = process.cpuUsage(cpu);
  const wall_s = Number(process.hrtime.bigint() - began) / 1e9;
  return { wall_s, cpu_s: (used.user + used.system) / 1e6 };
}

function serve(directory) {
  const Stored = PouchDB.defaults({ prefix: directory + path.sep });
  const options = { inMemoryConfig: true, logPath: path.join(directory, "log.txt") };
  const app = require("express")();
  app.use("/", require("express-pouchdb")(Stored, options));
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit(0)).resume();
}

async function run(directory, url, file) {
  const documents = JSON.parse(fs.readFileSync(file, "utf8"));
  const db = new PouchDB(path.join(directory, "source"));
  const result = {};
  result["save many"] = await timed(async () => {
    for (let at = 0; at < documents.length; at += 1000) {
      await db.bulkDocs(documents.slice(at, at + 1000));
    }
  });
  result["get by id"] = await timed(async () => {
    for (const { _id } of documents) await db.get(_id);
  });
  result["iterate"] = await timed(async () => {
    const all = await db.allDocs({ include_docs: true });
    if (all.rows.length !== documents.length) throw new Error("not all are there");
  });
  const options = { batch_size: 1000 };
  result["push"] = await timed(async () => {
    const done = await db.replicate.to(url, options);
    if (done.docs_written !== documents.length) throw new Error(JSON.stringify(done));
  });
  const copy = new PouchDB(path.join(directory, "copy"));
  result["pull"] = await timed(async () => {
    const done = await copy.replicate.from(url, options);
    if (done.docs_written !== documents.length) throw new Error(JSON.stringify(done));
  });
  result["again, nothing to do"] = await timed(() => db.replicate.to(url, options));
  console.log(JSON.stringify(result));
  process.exit(0);
}

const [command, ...rest] = process.argv.slice(2);
if (command === "serve") serve(...rest);
else run(...rest).catch((error) => { console.error(error); process.exit(1); });

#!/usr/bin/env node
// Bring the database up to date, then serve.
//
//     DATABASE_URL=postgresql:///app PORT=8000 node serve.js
const { spawn } = require('node:child_process');
const http = require('node:http');
const { constants } = require('node:os');

// Run `rung up`.  Where it fails, end as it ended: nothing is served then.
function migrate() {
  return new Promise((resolve, reject) => {
    const rung = spawn('rung', ['up', '--wait', '60s'], { stdio: 'inherit' });
    const stop = () => rung.kill('SIGTERM'); // it rolls back and ends with 143
    const ignore = () => {}; // the terminal sends it to rung as well

    process.on('SIGTERM', stop);
    process.on('SIGINT', ignore);
    rung.on('error', reject); // there is no rung
    rung.on('exit', (status, signal) => {
      process.off('SIGTERM', stop);
      process.off('SIGINT', ignore);
      if (status === 0) resolve();
      else process.exit(status ?? 128 + constants.signals[signal]);
    });
  });
}

migrate().then(() => {
  const server = http.createServer((request, response) => response.end('ready\n'));

  server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () =>
    console.log(`serving on port ${server.address().port}`));
});

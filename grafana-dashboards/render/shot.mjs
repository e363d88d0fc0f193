// node shot.mjs URL FILE: takes a picture of a board when it has all its data; 1 if anything failed on the page.
import { chromium } from 'playwright-core';

const [url, file] = process.argv.slice(2);
const flags = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--no-proxy-server',
  '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: process.env.STREAMSPAN_CHROMIUM ?? '/usr/bin/chromium', args: flags });
try {
  const page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  const failures = [];
  page.on('pageerror', (error) => failures.push(error.message));
  await page.goto(url, { waitUntil: 'load' });
  await page.waitForTimeout(1500);
  await page.waitForFunction(() => window.waiting === 0, undefined, { timeout: 60_000 });
  await page.waitForTimeout(2500);
  await page.locator('#board').screenshot({ path: file });
  failures.push(...await page.evaluate(() => window.failures));
  if (failures.length) console.error(failures.slice(0, 5).join('\n'));
  process.exitCode = failures.length ? 1 : 0;
} finally {
  await browser.close();
}

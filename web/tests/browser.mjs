// Debian's Chromium, and what is asked of every page.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

const CHROMIUM = process.env.PLANARIA_CHROMIUM ?? '/usr/bin/chromium';
const OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The pages, by their names in the menu. */
export const PAGES = {
  Overview: '/',
  Healing: '/healing',
  Workflows: '/workflows',
  Definitions: '/definitions',
  Workers: '/workers',
  Retries: '/retries',
  Events: '/events',
  API: '/docs',
  Settings: '/settings',
};

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: OPTIONS });

/** A page in a browser of its own; it remembers what went wrong in it. */
export async function open(browser, address, { width = 1280, height = 900, theme = 'light' } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.problems.push(message.text());
  });
  await page.goto(address);
  await page.locator('h1').first().waitFor();
  return page;
}

/** Waits until nothing on the page is loading any more. */
export async function settled(page) {
  await page.waitForFunction(() => !document.querySelector('.loading'));
}

/** What axe-core finds that is serious: rule, how bad, and where. */
export async function serious(page) {
  // The page's policy lets no script in; the debugger may.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
    }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, impact, nodes }) =>
      `${id} (${impact}): ${nodes.slice(0, 3).map(({ target }) => target).join(', ')}`);
}

/** How far the page is wider than its window, in pixels. */
export const overhang = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

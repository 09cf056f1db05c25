// Every page at three widths, in both themes, into docs/screenshots.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { PAGES, launch, open, settled } from './browser.mjs';
import { Mesh, failing } from './mesh.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const WIDTHS = [360, 1280, 1920];

await mkdir(FOLDER, { recursive: true });
const mesh = await Mesh.start();
const browser = await launch();
try {
  await mesh.ask('bench', 'throughput', '--duration', '5s');
  await mesh.ask('run', failing('error'), '--input', '{"times":2}');
  await mesh.ask('run', failing('hang'));
  const { id } = await mesh.ask('run', failing('crash'));
  const pages = { ...PAGES, Workflow: `/workflows/${id}`, Timeline: `/workflows/${id}?tab=timeline` };
  for (const [name, path] of Object.entries(pages)) {
    for (const width of WIDTHS) {
      for (const theme of ['light', 'dark']) {
        const height = width < 500 ? 800 : 900;
        const page = await open(browser, mesh.address + path, { width, height, theme });
        await settled(page);
        await page.waitForTimeout(500);
        await page.screenshot({ path: `${FOLDER}${name.toLowerCase()}-${width}-${theme}.png` });
        await page.context().close();
      }
    }
  }
} finally {
  await browser.close();
  await mesh.stop();
}

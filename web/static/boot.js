import init from './planaria-web.js';

const module = new URL('./planaria-web_bg.wasm', import.meta.url);
init({ module_or_path: module }).catch((problem) => {
  const boot = document.getElementById('boot');
  if (boot) {
    boot.textContent = `The dashboard could not start: ${problem}. Reload the page; if that does `
      + 'not help, this browser may be too old for WebAssembly.';
  }
});

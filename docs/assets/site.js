// What scrolls sideways must be reached by keyboard, and every landmark needs a name. The theme wraps tables and
// adds buttons to code after the page has loaded, so this looks again whenever the content changes.
function reach() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    box.tabIndex = 0;
  }
  document.querySelectorAll(".md-code__nav").forEach((nav, place) => {
    nav.setAttribute("aria-label", `Code ${place + 1}`);
  });
}

document$.subscribe(() => {
  reach();
  new MutationObserver(reach).observe(document.querySelector(".md-content"), { childList: true, subtree: true });
});

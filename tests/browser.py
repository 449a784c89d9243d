"""A page in Chromium, and how a person reads and uses it."""

import re
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
         "disable-component-update", "disable-sync", "hide-scrollbars")
VISIBLE = "[...document.querySelectorAll(arguments[0])].filter(element => element.checkVisibility())"


class Browser:
    """One session; pages lie in a folder, and are called by their names.

    Skips the tests where selenium or the browser is missing.
    """

    def __init__(self, folder):
        webdriver = pytest.importorskip("selenium.webdriver",
                                        reason="selenium is not installed: pip install '.[test]'")
        driver = shutil.which("chromedriver")
        if not (CHROMIUM and driver):
            pytest.skip("Chromium or its driver is missing: apt-get install chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"user-data-dir={folder / 'profile'}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=driver)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.get("about:blank")
        self.driver.get_log("performance")  # what the browser's own first tab asked for
        self.folder, self.now = folder, None
        self.resize(1440, 900)

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def scheme(self, scheme):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def load(self, name, fragment=""):
        """Open a page anew, from a link."""
        self.driver.get("about:blank")
        self.driver.get(f"{(self.folder / name).as_uri()}.html#{fragment}")
        self.now = name

    def open(self, name, **state):
        """A page in a state; a page that is open already only gets another address."""
        if self.now != name:
            self.load(name)
        self.driver.execute_async_script("""
            const [fragment, done] = arguments;
            clearTimeout(writing);
            writeAddress();  // at once what the page would write a moment later
            if (location.hash.slice(1) === fragment) return done();
            addEventListener("hashchange", () => done(), { once: true });
            location.hash = fragment;""", "&".join(f"{key}={value}" for key, value in state.items()))

    def script(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        """The elements that can be seen."""
        return self.script(f"return {VISIBLE}", selector)

    def text(self, selector):
        """What the first of them says."""
        return self.script(f"return {VISIBLE}[0].innerText", selector)

    def texts(self, selector):
        """What each of them says."""
        return self.script(f"return {VISIBLE}.map(element => element.innerText)", selector)

    def shown(self, key):
        """The number that the step shows under a name."""
        return number(self.text(f'main [data-show="{key}"]'))

    def values(self, selector):
        """The numbers in some fields."""
        return [int(value) for value in self.script(f"return {VISIBLE}.map(field => field.value)", selector)]

    def unfold(self, folded=True):
        """Open everything that can be opened, or close it."""
        self.script("for (const one of document.querySelectorAll('details')) one.open = arguments[0]", folded)

    def click(self, selector):
        element = self.find(selector)[0]
        self.script("arguments[0].scrollIntoView({ block: 'center' })", element)
        element.click()

    def type(self, selector, *keys):
        self.find(selector)[0].send_keys(*keys)

    def point(self, selector, i=0):
        self._actions().move_to_element(self.find(selector)[i]).perform()

    def tap(self, selector, x=0.5, y=0.5):
        """With a finger, at a place of an element given as fractions of its width and height."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        left, top, width, height = self.script("""arguments[0].scrollIntoView({ block: "center" });
            const { left, top, width, height } = arguments[0].getBoundingClientRect();
            return [left, top, width, height];""", self.find(selector)[0])
        finger = ActionBuilder(self.driver, mouse=PointerInput("touch", "finger"), duration=0)
        finger.pointer_action.move_to_location(round(left + x * width), round(top + y * height))
        finger.pointer_action.pointer_down().pointer_up()
        finger.perform()

    def drag(self, selector, start, stop):
        """From one place of an element to another, in pixels of the screen from its top left."""
        element = self.find(selector)[0]
        left, top = (-element.size[side] / 2 for side in ("width", "height"))
        (self._actions()
         .move_to_element_with_offset(element, left + start[0], top + start[1]).click_and_hold()
         .move_to_element_with_offset(element, left + stop[0], top + stop[1]).release().perform())

    def _actions(self):
        from selenium.webdriver import ActionChains

        return ActionChains(self.driver, duration=0)

    def wait(self, condition):
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 5, poll_frequency=0.05).until(lambda _: condition())

    def console(self):
        """What the console says since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


class Keys:
    """The keys that the tests press, as WebDriver writes them."""

    SHIFT, CONTROL, ENTER, ESCAPE, SPACE = "\ue008", "\ue009", "\ue007", "\ue00c", "\ue00d"
    TAB = "\ue004"
    LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"


def number(text):
    """The first number of a text: "− 0.148" is -0.148."""
    plain = text.replace("\u2212 ", "-").replace("\u2212", "-").replace("+ ", "")
    return float(re.search(r"[+-]?\d+(\.\d+)?", plain)[0])

"""The parts of `report`: sections of data, their drawings, and the page that shows them."""

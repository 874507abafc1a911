"""Where candles come from: an adapter, a service, a folder, or the sample."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from mlengine.bootstrap import MARKET_DATA_GROUP
from mlengine.config import Settings
from mlengine.core.calendars.market import MarketDirectory
from mlengine.errors import BadSetting
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.adapters.alpaca import AlpacaMarketData
from mlengine.stores.market_data.adapters.ccxt import CcxtMarketData
from mlengine.stores.market_data.adapters.library import SETTING, AdapterOptions
from mlengine.stores.market_data.adapters.yfinance import YfinanceMarketData
from mlengine.stores.market_data.aliases.aliased_source import with_aliases
from mlengine.stores.market_data.credentials import Credentials, read_credentials
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.market_data.shapes.shape import ServiceShape
from mlengine.stores.market_data.shapes.upstream_file import read_upstream_file

_ADAPTERS: Mapping[str, Callable[[AdapterOptions], MarketData]] = {
    "ccxt": CcxtMarketData,
    "alpaca": AlpacaMarketData,
    "yfinance": YfinanceMarketData,
}
_PROTOCOL = [name for name in vars(MarketData) if not name.startswith("_")]


def open_market_data(settings: Settings, markets: MarketDirectory) -> MarketData:
    """The configured source, asked for nothing yet; raises BadSetting for a file it can't use."""
    return with_aliases(_open_source(settings, markets), markets)


def open_folder(settings: Settings, folder: Path, markets: MarketDirectory) -> MarketData:
    """The files of any folder, read as the settings say."""
    return with_aliases(_open_folder(settings, folder, markets), markets)


def _open_source(settings: Settings, markets: MarketDirectory) -> MarketData:
    if settings.market_data_service.adapter:
        return _open_adapter(settings, settings.market_data_service.adapter)
    if settings.market_data_base_url:
        return _open_service(settings, settings.market_data_base_url)
    if settings.market_data_dir:
        return _open_folder(settings, settings.market_data_dir, markets)
    return SampleMarketData()


def _open_folder(settings: Settings, folder: Path, markets: MarketDirectory) -> FilesMarketData:
    return FilesMarketData(
        folder,
        markets=markets,
        adjusted=settings.market_data_adjust == "all",
        most_bytes=settings.market_data_service.max_mb * 2**20,
    )


def _open_adapter(settings: Settings, chosen: str) -> MarketData:
    """A built-in adapter, or what an installed package names in the entry point group."""
    name, _, variant = chosen.partition(":")
    own = {entry.name: entry for entry in entry_points(group=MARKET_DATA_GROUP)}
    if name not in _ADAPTERS and name not in own:
        names = ", ".join(sorted({*_ADAPTERS, *own}))
        raise BadSetting(SETTING, chosen, f"one of {names}, perhaps with :VARIANT")
    try:
        factory = _ADAPTERS.get(name) or own[name].load()
    except (ImportError, AttributeError) as error:
        raise BadSetting(SETTING, chosen, f"a factory that can be imported ({error})") from None
    service = settings.market_data_service
    market = factory(
        AdapterOptions(
            variant=variant,
            api_key=service.api_key,
            base_url=service.base_url,
            page_size=service.page_size,
            timeout_seconds=settings.market_data_timeout_seconds,
            deadline_seconds=settings.market_data_deadline_seconds,
        )
    )
    lacking = [each for each in _PROTOCOL if not hasattr(market, each)]
    if lacking:
        raise BadSetting(
            SETTING, chosen, f"a subclass of MarketData, which has {', '.join(lacking)}"
        )
    return market


def _open_service(settings: Settings, base_url: str) -> HttpMarketData:
    service = settings.market_data_service
    shape = read_upstream_file(service.upstream_file) if service.upstream_file else ServiceShape()
    return HttpMarketData(
        base_url,
        timeout_seconds=settings.market_data_timeout_seconds,
        retry_attempts=settings.market_data_retry_attempts,
        retry_backoff_seconds=settings.market_data_retry_backoff_seconds,
        deadline_seconds=settings.market_data_deadline_seconds,
        page_size=service.page_size,
        body_limit_bytes=service.max_mb * 2**20,
        pause_file=settings.artifacts_dir / "upstream-pause.json",
        credentials=_credentials(settings, shape),
        shape=shape,
    )


def _credentials(settings: Settings, shape: ServiceShape) -> Credentials:
    service = settings.market_data_service
    if shape.takes_key and service.api_key is None:
        raise BadSetting("MARKET_DATA_API_KEY", "", "the key that the shape of the service sends")
    return read_credentials(
        key=service.api_key,
        header=service.api_key_header,
        parameter=service.api_key_param,
        headers_file=service.headers_file,
        in_template=shape.takes_key,
    )
